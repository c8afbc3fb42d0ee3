"""The model classes that can be trained and, those of text models, be exported to GGUF, with their linear layers."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.base_models import ATTENTION, LINEAR_LAYERS, ModelType

FUSED_UP = (*ATTENTION, "gate_up_proj", "down_proj")
FUSED_ATTENTION = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")
GATED_DELTA = (*LINEAR_LAYERS, "in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj")
UNGATED = (*ATTENTION, "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model class of Transformers: its family, which is `model_type` in config.json, and the layers that LoRA adapts."""

    family: str
    target_modules: tuple[str, ...] = LINEAR_LAYERS
    model_type: ModelType = ModelType.TEXT_GENERATION


ARCHITECTURES: Mapping[str, Architecture] = {
    "ApertusForCausalLM": Architecture("apertus", UNGATED),
    "ArceeForCausalLM": Architecture("arcee", UNGATED),
    "BloomForCausalLM": Architecture("bloom", FUSED_ATTENTION),
    "Cohere2ForCausalLM": Architecture("cohere2"),
    "CohereForCausalLM": Architecture("cohere"),
    "Ernie4_5ForCausalLM": Architecture("ernie4_5"),
    "Exaone4ForCausalLM": Architecture("exaone4"),
    "FalconForCausalLM": Architecture("falcon", FUSED_ATTENTION),
    "GPT2LMHeadModel": Architecture("gpt2", ("c_attn", "c_proj", "c_fc")),
    "GPTNeoXForCausalLM": Architecture("gpt_neox", FUSED_ATTENTION),
    "Gemma2ForCausalLM": Architecture("gemma2"),
    "Gemma3ForCausalLM": Architecture("gemma3_text"),
    "Gemma3ForConditionalGeneration": Architecture("gemma3"),
    "Gemma4ForConditionalGeneration": Architecture("gemma4"),
    "GemmaForCausalLM": Architecture("gemma"),
    "Glm4ForCausalLM": Architecture("glm4", FUSED_UP),
    "GlmForCausalLM": Architecture("glm", FUSED_UP),
    "GraniteForCausalLM": Architecture("granite"),
    "LlamaForCausalLM": Architecture("llama"),
    "Ministral3ForCausalLM": Architecture("ministral3"),
    "MistralForCausalLM": Architecture("mistral"),
    "Mistral3ForConditionalGeneration": Architecture("mistral3"),
    "MixtralForCausalLM": Architecture("mixtral", ATTENTION),
    "Olmo2ForCausalLM": Architecture("olmo2"),
    "Olmo3ForCausalLM": Architecture("olmo3"),
    "OlmoForCausalLM": Architecture("olmo"),
    "Phi3ForCausalLM": Architecture("phi3", ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")),
    "PhiForCausalLM": Architecture("phi", ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")),
    "Qwen2ForCausalLM": Architecture("qwen2"),
    "Qwen3ForCausalLM": Architecture("qwen3"),
    "Qwen3MoeForCausalLM": Architecture("qwen3_moe", ATTENTION),
    "Qwen3_5ForCausalLM": Architecture("qwen3_5_text", GATED_DELTA),
    "Qwen3_5ForConditionalGeneration": Architecture("qwen3_5", GATED_DELTA),
    "SeedOssForCausalLM": Architecture("seed_oss"),
    "SmolLM3ForCausalLM": Architecture("smollm3"),
    "StableLmForCausalLM": Architecture("stablelm"),
    "Starcoder2ForCausalLM": Architecture("starcoder2", (*ATTENTION, "c_fc", "c_proj")),
    "LlavaNextVideoForConditionalGeneration": Architecture(
        "llava_next_video", LINEAR_LAYERS, ModelType.VIDEO_CAPTIONING
    ),
    "VideoLlavaForConditionalGeneration": Architecture(
        "video_llava", LINEAR_LAYERS, ModelType.VIDEO_CAPTIONING
    ),
    "VideoMAEForPreTraining": Architecture(
        "videomae", ("query", "key", "value", "dense"), ModelType.VIDEO_CLASSIFICATION
    ),
    "VideoMAEForVideoClassification": Architecture(
        "videomae", ("query", "key", "value", "dense"), ModelType.VIDEO_CLASSIFICATION
    ),
}
"""By the name in `architectures` of config.json. Of models with experts, LoRA adapts the attention alone."""


def is_causal_language_model(class_name: str) -> bool:
    """Whether a model class, by its name, predicts the next token of a text."""
    return class_name.endswith(("ForCausalLM", "LMHeadModel")) or class_name in ARCHITECTURES
