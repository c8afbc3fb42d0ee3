import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.artifacts import ArtifactKind
from domain.finetunes import InferenceSample, ParityReport
from domain.job_events import Checkpoint, LogLine, Metric, Progress
from domain.ports.trainer import ItemsPrepared, ProducedFile, TrainingResult
from domain.training_points import TrainingPoint
from infra.training.messages import Failed, Message, decode, encode
from infra.training.reporter import Reporter

RESULT = TrainingResult(
    model_size_gb=0.1,
    model_size_parameter=3,
    model_dtype="float32",
    model_quantization="q8_0",
    training_time_seconds=1.5,
    samples_held_out=True,
    samples=(InferenceSample(prompt="q\n", tuned_output="a"),),
    files=(ProducedFile(filename="f", kind=ArtifactKind.GGUF, path=Path("/x/f"), size_bytes=1, sha256="00"),),
    parity=ParityReport(
        passed=True, prompts_compared=1, template_matches=True, token_ids_match=True, outputs_matching=1
    ),
    warnings=("w",),
)


@pytest.mark.parametrize(
    "message",
    [
        ItemsPrepared(trained_item_count=1, warnings=("4 were left out.",)),
        Progress(0.5, "half\nway"),
        LogLine("ä"),
        Checkpoint(3, "/x/checkpoint-3"),
        Failed("No."),
        Metric(TrainingPoint(step=1, epoch=0.5, train_loss=2.0, at=datetime.now(UTC)), 10, 99.5),
        Metric(TrainingPoint(step=1, epoch=0.5, eval_loss=2.0, perplexity=7.4, at=datetime.now(UTC)), 10),
        RESULT,
    ],
)
def test_a_decoded_message_equals_the_encoded_one(message: Message) -> None:
    line = encode(message)
    assert (line.count(b"\n"), line[-1:]) == (1, b"\n")
    assert decode(line) == message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"kind": "LogLine", "line": "cut sho', "Invalid JSON: EOF while parsing a string"),
        (b'["LogLine"]\n', "Input tag 'list'"),
        (b'{"kind": "Line", "line": "text"}\n', "Input tag 'Line' found"),
        (b'{"kind": "LogLine"}\n', "LogLine.line\n  Field required"),
        (b'{"kind": "Checkpoint", "step": "3", "path": "checkpoint-3"}\n', "Checkpoint.step\n  Input should be a valid integer"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_an_error_that_says_what_is_wrong_with_it(line: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match="sent a line that is none of its messages") as raised:
        decode(line)
    assert problem in str(raised.value)


def test_progress_is_reported_with_four_digits() -> None:
    out = io.BytesIO()
    Reporter(out).progress(0.05 + 0.9 * 1 / 40, "Training: step 1 of 40")
    assert decode(out.getvalue()) == Progress(0.0725, "Training: step 1 of 40")
