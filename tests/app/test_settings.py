import pytest

from app.settings import SettingsError, read_settings

WHOLE = {
    "DATABASE_URL": "postgresql://luthier@localhost/luthier",
    "SECRET_KEY": "0123456789abcdef",
    "S3_BUCKET": "luthier",
    "LLM_BASE_URL": "http://localhost:11434/v1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("S3_ENDPOINT_URL", "LUTHIER_RUNTIME_URL", "LUTHIER_RUNTIME_TOKEN", "APP_EXTERNAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in WHOLE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_an_empty_variable_is_as_good_as_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("APP_EXTERNAL_API_KEY", "")
    environment.setenv("S3_ENDPOINT_URL", "")
    settings = read_settings()
    assert (settings.app_external_api_key, settings.s3_endpoint_url) == (None, None)


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
    assert str(caught.value).startswith(f"{name} is not ")
    assert "\n" not in str(caught.value)


def test_counting_in_redis_needs_its_client(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RATE_LIMITS_URL", "redis://localhost")
    assert read_settings().rate_limits_url == "redis://localhost"
    environment.setattr("app.settings.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'luthier\[redis\]'\.$"):
        read_settings()
