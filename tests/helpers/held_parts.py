"""What a server still holds is not sent to it again, counted from the tables alone."""

from __future__ import annotations

from worlds import Run


def nothing_held_is_sent(run: Run) -> None:
    """A part whose bytes travelled brought its server something that it had not, where its user could know.

    A user cannot know what became of a part whose confirm result was late, nor of one that was called back on its way
    and had arrived; and where users share what is stored, or move, others bring the same.
    """
    if run.world.mobility:
        return
    shares = {node.name for node in run.world.nodes if node.share_models}
    unsure = {row["user"] for row in run.tables["uploads"] if row["status"] in ("cancelled", "lost", "failed")}
    for row in run.tables["uploads"]:
        if row["status"] != "confirmed" or not row["bytes"] or row["server"] in shares or row["user"] in unsure:
            continue
        came = [
            decided["bytes"]
            for decided in run.tables["allocations"]
            if (decided["server"], decided["user"], decided["event"]) == (row["server"], row["user"], "admitted")
            and (decided["plan_version"], decided["part"]) == (row["plan_version"], row["part"])
            and row["sent_s"] <= decided["at_s"] <= row["ended_s"]
        ]
        assert all(came), f"part {row['part']} of {row['user']} was held by {row['server']} and sent again"
