"""`luthier/tiny`: a base model made on the spot, for trying everything out without a download.

Llama's architecture with random weights. It knows nothing, but LoRA teaches it a small table by heart
in seconds, and it goes the same way as a large model: templates, tokens, merge, GGUF, llama.cpp.
"""

import hashlib
import io
import shutil
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import torch
from sentencepiece import SentencePieceTrainer
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer, PreTrainedTokenizerBase

from infra.training.chat_templates import CHATML

NAME = "luthier/tiny"
VOCABULARY = 1200
CONTEXT = 2048  # tokens
SEED = 0
END, PAD = "<|im_end|>", "<pad>"
LETTERS = "ÄÖÜßäöüÀÁÂÃÅÆÇÈÉÊËÍÎÏÑÓÔÕØŒÚàáâãåæçèéêëíîïñóôõøœùúûý¿¡"


def ensure(models_folder: Path) -> Path:
    """The folder of the model, made now if it is not there yet.

    Two processes may race: each makes its own under a temporary name, and the first rename wins.
    """
    folder = models_folder / f"luthier_tiny-{_recipe()}"
    if folder.exists():
        return folder
    models_folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".luthier_tiny-", dir=models_folder))
    try:
        make(scratch)
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def make(folder: Path) -> None:
    """Write the tokenizer and the weights into `folder`; the same bytes each time on one machine."""
    tokenizer = _tokenizer(folder)
    _model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _corpus() -> str:
    return files("infra.training").joinpath("tiny_corpus.txt").read_text(encoding="utf-8")


def _recipe() -> str:
    """Changes when anything does that the bytes of the model depend on."""
    source = Path(__file__).read_text(encoding="utf-8")
    versions = [version(name) for name in ("sentencepiece", "torch", "transformers")]
    return hashlib.sha256("\n".join([_corpus(), source, CHATML, *versions]).encode()).hexdigest()[:12]


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    (folder / "tokenizer.model").write_bytes(_sentencepiece())
    tokenizer = LlamaTokenizer.from_pretrained(
        folder,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=["<|im_start|>"],
        add_prefix_space=False,
        add_bos_token=False,
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def _sentencepiece() -> bytes:
    """A BPE that carries any text: what it has no piece for, it spells in bytes."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_corpus().splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        byte_fallback=True,
        character_coverage=1.0,
        required_chars=LETTERS,
        pad_id=3,
        # control, not user_defined: else llama.cpp splits "<|im_start|>" into 13 tokens
        control_symbols=["<|im_start|>", "<|im_end|>"],
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def _model(tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=False,
            # At the usual 0.02 a random frozen head cannot be sure of anything: the loss stays at 1.9.
            initializer_range=0.08,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        ),
    )
