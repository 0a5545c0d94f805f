import tarfile

import pytest

from reaging.data.pieces import keep_plan, read_piece
from reaging.errors import ReagingError

PLAN = {"settings": {"size": 256}, "photos": 2, "digest": "d"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"settings": 3}', "\x00\xff"])
def test_a_damaged_plan_is_one_line(tmp_path, text):
    keep_plan(tmp_path, PLAN)
    keep_plan(tmp_path, PLAN)  # the same plan goes on
    (tmp_path / "plan.json").write_text(text, "latin-1")
    with pytest.raises(ReagingError, match="damaged"):
        keep_plan(tmp_path, PLAN)


def test_a_damaged_piece_is_one_line(tmp_path):
    path = tmp_path / "piece.tar"
    path.write_bytes(b"no archive")
    with pytest.raises(ReagingError, match="damaged"):
        read_piece(path, [])
    with tarfile.open(path, "w"):
        pass
    with pytest.raises(ReagingError, match="damaged"):
        read_piece(path, [])
