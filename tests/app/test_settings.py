from pathlib import Path

import pytest

from app.migrations import catalog
from app.settings import SettingsError, parse_rate_limits, read_settings
from domain.rate_limits import DOCUMENTED, CallKind, Rate

WHOLE = {
    "DATABASE_URL": "postgresql://luthier@localhost/luthier",
    "SECRET_KEY": "0123456789abcdef",
    "S3_BUCKET": "luthier",
    "LLM_BASE_URL": "http://localhost:11434/v1",
}
UNSET = ("HF_ENDPOINT", "HF_TOKEN", "HUB_MODELS", "MAX_MODEL_GB")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (
        *UNSET,
        "S3_ENDPOINT_URL",
        "LUTHIER_RUNTIME_URL",
        "LUTHIER_RUNTIME_TOKEN",
        "APP_EXTERNAL_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_an_empty_variable_is_as_good_as_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("APP_EXTERNAL_API_KEY", "")
    environment.setenv("S3_ENDPOINT_URL", "")
    settings = read_settings()
    assert (settings.app_external_api_key, settings.s3_endpoint_url) == (None, None)


@pytest.mark.parametrize(
    ("name", "old_name"),
    [
        ("MAX_UNAUTHENTICATED_PER_ADDRESS", "MAX_STRANGERS_PER_ADDRESS"),
        ("SLOW_CLIENT_TIMEOUT_S", "SLOW_CONSUMER_S"),
    ],
)
def test_a_deprecated_variable_works_until_the_new_one_is_set(
    environment: pytest.MonkeyPatch, name: str, old_name: str
) -> None:
    environment.setenv(old_name, "7")
    assert getattr(read_settings(), name.lower()) == 7
    environment.setenv(name, "8")
    assert getattr(read_settings(), name.lower()) == 8


def test_origins_are_read_under_their_old_name_too(environment: pytest.MonkeyPatch) -> None:
    assert read_settings().origins == ()
    environment.setenv("CONSOLE_ORIGINS", "http://localhost:5173")
    assert read_settings().origins == ("http://localhost:5173",)
    environment.setenv("ORIGINS", "https://app.example.org, *")
    assert read_settings().origins == ("https://app.example.org", "*")


@pytest.mark.parametrize("name", ["DATABASE_URL", "SECRET_KEY", "S3_BUCKET", "LLM_BASE_URL"])
def test_a_missing_setting_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("S3_ENDPOINT_URL", "localhost:9000"),
        ("LLM_BASE_URL", "//models"),
        ("MAX_FILE_MB", "many"),
        ("MAX_FILE_MB", "0"),
        ("APP_EXTERNAL_API_KEY", "guessed"),
        ("RATE_LIMITS", "often"),
        ("RATE_LIMITS", '{"reads": 0}'),
        ("RATE_LIMITS_URL", "localhost:6379"),
        ("RATE_LIMITS_URL", "redis://:hidden@localhost:port"),
        ("ORIGINS", "localhost:5173"),
        ("ORIGINS", "https://app.example.org/path"),
        ("HF_ENDPOINT", "huggingface.co"),
        ("HUB_MODELS", "some"),
        ("MAX_MODEL_GB", "0"),
        ("TRUSTED_PROXIES", "nginx"),
        ("TRUSTED_PROXIES", "10.0.0.7,"),
        ("TRUSTED_PROXIES", "10.0.0.7/8"),
        ("TRUSTED_PROXIES", "*"),
    ],
)
def test_a_setting_that_is_wrong_is_one_sentence_without_its_value(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(caught.value).startswith((f"{name} is invalid: ", f"{name} is not a URL "))
    assert "\n" not in str(caught.value)


def test_counting_in_redis_needs_its_client(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RATE_LIMITS_URL", "redis://localhost")
    assert read_settings().rate_limits_url == "redis://localhost"
    environment.setattr("app.settings.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'luthier\[redis\]'\.$"):
        read_settings()


@pytest.mark.parametrize(("value", "limits"), [("off", None), ("documented", DOCUMENTED), ("", DOCUMENTED)])
def test_rate_limits_are_read_from_the_environment(
    environment: pytest.MonkeyPatch, value: str, limits: object
) -> None:
    environment.setenv("RATE_LIMITS", value)
    assert read_settings().rate_limits == limits


def test_the_documented_rate_limits_apply_unless_they_are_off() -> None:
    assert parse_rate_limits("documented") == DOCUMENTED
    assert parse_rate_limits("off") is None
    assert {kind: DOCUMENTED[kind].amount for kind in list(CallKind)[:5]} == {
        CallKind.READS: 60,
        CallKind.WRITES: 30,
        CallKind.UPLOADS: 10,
        CallKind.GENERATE: 5,
        CallKind.TRAIN: 3,
    }


def test_rate_limits_are_set_by_number_a_minute_or_by_period_and_the_others_stay() -> None:
    parsed = parse_rate_limits('{"reads": "600/minute", "train": "10 / hour", "sign_in": 7}')
    changed = {CallKind.READS: Rate(600, 60), CallKind.TRAIN: Rate(10, 3600), CallKind.SIGN_IN: Rate(7, 60)}
    assert parsed == {**DOCUMENTED, **changed}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("on", "it is off, documented or JSON"),
        ("[]", "it is off, documented or JSON"),
        ("[" * 100_000, "it is off, documented or JSON"),
        ('{"Reads": 1}', "its kinds are reads, writes"),
        ('{"reads": 0}', "reads is a number a minute"),
        ('{"reads": -1}', "reads is a number a minute"),
        ('{"reads": true}', "reads is a number a minute"),
        ('{"reads": null}', "reads is a number a minute"),
        ('{"reads": 1.5}', "reads is a number a minute"),
        ('{"reads": "10/month"}', "reads is a number a minute"),
        ('{"reads": "10/2 hour"}', "reads is a number a minute"),
        ('{"reads": "10/hour;1/second"}', "reads is a number a minute"),
        ('{"reads": "10/week"}', "reads is a number a minute"),
        ('{"reads": "100001/hour"}', "reads is a number a minute"),
        ('{"reads": "' + "9" * 5000 + '/hour"}', "reads is a number a minute"),
    ],
)
def test_rate_limits_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        parse_rate_limits(text)
    assert len(str(caught.value)) < 120


def test_hub_models_are_on_up_to_80_gb_unless_the_environment_says_otherwise(
    environment: pytest.MonkeyPatch,
) -> None:
    settings = read_settings()
    assert (settings.hub_models, settings.max_model_gb, settings.hf_token) == (True, 80.0, None)
    assert settings.hf_endpoint == "https://huggingface.co"
    environment.setenv("HUB_MODELS", "off")
    environment.setenv("MAX_MODEL_GB", "2.5")
    assert (read_settings().hub_models, read_settings().max_model_gb) == (False, 2.5)


def test_an_own_catalog_that_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("- modelId: Qwen/Qwen3-8B\n  license: The MIT License\n")
    with pytest.raises(SettingsError) as caught:
        catalog(path)
    assert str(caught.value).startswith(
        f"MODEL_CATALOGUE is invalid: {path}, line 1, Qwen/Qwen3-8B: license: "
    )
    assert "\n" not in str(caught.value)
