"""What a run leaves behind: rows, tables, digest, summary, and who writes and reads them."""

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.results.writer import ResultWriter

__all__ = ["ResultWriter", "RunResult"]
