"""langchain-tests' own tests of a chat model, for pytest in the environment of the clients."""

import os

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatOpenAI(ChatModelIntegrationTests):
    """ChatOpenAI on an endpoint of Luthier."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class of the client."""
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, object]:
        """The endpoint."""
        return {
            "model": os.environ["MODEL"],
            "base_url": os.environ["BASE_URL"],
            "api_key": os.environ["API_KEY"],
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        """JSON without a schema."""
        return True

    @property
    def model_override_value(self) -> str:
        """The name of the model in a single call."""
        return os.environ["MODEL"]
