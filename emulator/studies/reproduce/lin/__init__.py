"""The question of Lin et al., on the paper's world."""
