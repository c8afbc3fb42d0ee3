"""A small model with random weights of each text architecture, with the tokenizer of `luthier/tiny` or of SmolLM2.

The multimodal ones are whole, with their encoders of images and sounds, as a repository of the hub has them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from domain.architectures import ARCHITECTURES

TEXT: Mapping[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    # At the usual 0.02 the next token of a random model is a matter of rounding.
    "initializer_range": 0.08,
}
WITHOUT_HEAD_DIM = {name: value for name, value in TEXT.items() if name != "head_dim"}
PIXTRAL = {
    "model_type": "pixtral", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "head_dim": 32, "image_size": 28, "patch_size": 14,
}  # fmt: skip
YARN = {
    "type": "yarn", "rope_type": "yarn", "rope_theta": 1_000_000.0, "factor": 16.0, "original_max_position_embeddings": 256,
    "beta_fast": 32.0, "beta_slow": 1.0, "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1,
}  # fmt: skip
GATED_DELTA = {
    **TEXT, "num_hidden_layers": 4, "head_dim": 64, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "mtp_num_hidden_layers": 1,
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10_000_000.0, "partial_rotary_factor": 0.25, "mrope_section": [3, 3, 2],
        "mrope_interleaved": True,
    },
}  # fmt: skip
GEMMA_4 = {
    **TEXT, "num_hidden_layers": 6, "head_dim": 32, "global_head_dim": 64, "sliding_window": 64,
    "num_kv_shared_layers": 0, "final_logit_softcapping": 30.0,
}  # fmt: skip
SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "image_size": 56, "patch_size": 14,
}  # fmt: skip
EXPERTS = {
    **TEXT,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "num_local_experts": 4,
}

CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "BloomForCausalLM": {"hidden_size": 128, "n_layer": 2, "n_head": 4, "initializer_range": 0.08},
    "FalconForCausalLM": {**WITHOUT_HEAD_DIM, "ffn_hidden_size": 256, "num_kv_heads": 1},
    "GPT2LMHeadModel": {
        "n_embd": 128,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 512,
        "initializer_range": 0.08,
    },
    "GPTNeoXForCausalLM": WITHOUT_HEAD_DIM,
    "Gemma3ForConditionalGeneration": {
        "text_config": {**TEXT, "num_hidden_layers": 6, "sliding_window": 64},
        "vision_config": SIGLIP,
        "mm_tokens_per_image": 4,
    },
    "Gemma3ForCausalLM": {**TEXT, "num_hidden_layers": 6, "sliding_window": 64},
    "Gemma4ForConditionalGeneration": {
        "text_config": {**GEMMA_4, "hidden_size_per_layer_input": 32, "num_kv_shared_layers": 0},
        "vision_config": {
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "use_clipped_linears": True,
        },
        "audio_config": {
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "output_proj_dims": 64,
        },
    },
    "Ministral3ForCausalLM": {**TEXT, "rope_parameters": YARN},
    "Mistral3ForConditionalGeneration": {
        "text_config": {
            **TEXT,
            "model_type": "ministral3",
            "rope_parameters": YARN,
            "tie_word_embeddings": True,
        },
        "vision_config": PIXTRAL,
    },
    "MixtralForCausalLM": EXPERTS,
    "Qwen3MoeForCausalLM": EXPERTS,
    "Qwen3_5ForCausalLM": GATED_DELTA,
    "Qwen3_5ForConditionalGeneration": {
        "text_config": {**GATED_DELTA, "tie_word_embeddings": True},
        "tie_word_embeddings": True,
        "vision_config": {
            "depth": 1,
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 128,
            "num_position_embeddings": 16,
        },
    },
}
"""What differs from `TEXT`, which most configurations take as it is."""
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "Cohere2ForCausalLM": {"rotary_pct": 1.0},
    "GPT2LMHeadModel": {"n_ctx": 512},
    "GPTNeoXForCausalLM": {"rotary_pct": 0.25},
}
"""What config.json of these has on the hub, and Transformers does not write."""
BYTE_LEVEL = (
    "Bloom", "Cohere", "Exaone4", "Falcon", "GPT", "Glm", "Olmo", "PhiFor", "Qwen3_5", "SmolLM3", "StableLm", "Starcoder2",
)  # fmt: skip
"""How the names of those architectures begin whose tokenizer the converter takes for a byte-level BPE, as that of SmolLM2 is."""


def build_model(name: str, tokenizer_folder: Path, folder: Path) -> None:
    """Write a model of the architecture `name`, with the tokenizer in `tokenizer_folder`, into `folder`."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = _config(name, tokenizer)
    torch.manual_seed(0)
    model = getattr(transformers, name)(config)
    model.save_pretrained(folder)
    _publish_config(name, folder / "config.json")
    tokenizer.save_pretrained(folder)
    if (sentencepiece_model := tokenizer_folder / "tokenizer.model").exists():
        (folder / sentencepiece_model.name).write_bytes(sentencepiece_model.read_bytes())


def _config(name: str, tokenizer: PreTrainedTokenizerBase) -> Any:
    values = dict(CONFIGURATIONS.get(name, TEXT))
    of_text = {
        "vocab_size": len(tokenizer),
        "vocab_size_per_layer_input": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if "text_config" in values:
        values["text_config"] = {**values["text_config"], **of_text}
    else:
        values |= of_text
    return CONFIG_MAPPING[ARCHITECTURES[name].family](**values)


def _publish_config(name: str, path: Path) -> None:
    """Write the configuration as the hub has it, where Transformers writes it in another form."""
    config = json.loads(path.read_text())
    config |= PUBLISHED.get(name, {})
    if "global_head_dim" in CONFIGURATIONS.get(name, {}).get("text_config", {}):
        config["text_config"].pop("per_layer_config", None)
        config["text_config"]["global_head_dim"] = GEMMA_4["global_head_dim"]
    path.write_text(json.dumps(config))
