import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # counting.py is shared with processes that tests start
