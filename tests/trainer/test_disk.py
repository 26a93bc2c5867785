import pytest

from inkstream.command_line import Failure
from trainer.disk import writing_to


def test_a_full_disk_is_told_with_the_file_and_the_remedy(tmp_path):
    with pytest.raises(Failure, match=r"no space is left to write .*guesses.csv: free some and run it again"):
        with writing_to(tmp_path / "guesses.csv", "and run it again"), open("/dev/full", "w") as file:
            file.write("key_id,word\n")


def test_it_is_found_in_the_words_of_the_library_that_writes_checkpoints(tmp_path):
    with pytest.raises(Failure, match="no space is left"), writing_to(tmp_path, "and go on"):
        raise ValueError("RESOURCE_EXHAUSTED: Error writing ...: No space left on device [os_error_code='28']")


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (ValueError("a bug"), PermissionError(13, "Permission denied")):
        with pytest.raises(type(error), match=str(error.args[-1])), writing_to(tmp_path, "and go on"):
            raise error
