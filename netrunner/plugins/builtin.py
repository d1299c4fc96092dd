"""The plugins that come with netrunner, offered as a third party would offer its own.

This module must not do anything but offer.
"""

from netrunner.filters.no_think import NoThink, NoThinkSettings
from netrunner.filters.strip_json_markdown import StripJsonMarkdown, StripJsonMarkdownSettings
from netrunner.filters.strip_thinking import StripThinking, StripThinkingSettings
from netrunner.offers import FilterFactory, ProviderFactory, SinkFactory
from netrunner.providers.anthropic import AnthropicProvider, AnthropicSettings
from netrunner.providers.azure_openai import AzureOpenAIProvider, AzureOpenAISettings
from netrunner.providers.cloudflare import CloudflareProvider, CloudflareSettings
from netrunner.providers.cohere import CohereProvider, CohereSettings
from netrunner.providers.deepseek import DeepSeekProvider, DeepSeekSettings
from netrunner.providers.echo import EchoProvider, EchoSettings
from netrunner.providers.gemini import GeminiProvider, GeminiSettings
from netrunner.providers.gigachat import GigaChatProvider, GigaChatSettings
from netrunner.providers.github import GitHubProvider, GitHubSettings
from netrunner.providers.groq import GroqProvider, GroqSettings
from netrunner.providers.huggingface import HuggingFaceProvider, HuggingFaceSettings
from netrunner.providers.mistral import MistralProvider, MistralSettings
from netrunner.providers.ollama import OllamaProvider, OllamaSettings
from netrunner.providers.openai import OpenAIProvider, OpenAISettings
from netrunner.providers.openrouter import OpenRouterProvider, OpenRouterSettings
from netrunner.providers.together import TogetherProvider, TogetherSettings
from netrunner.sinks.access_line import AccessLine
from netrunner.sinks.cloudwatch import CloudWatch, CloudWatchFactory, CloudWatchSettings
from netrunner.sinks.console import Console
from netrunner.sinks.database import Database, DatabaseSettings
from netrunner.sinks.duplex import Duplex, DuplexSettings
from netrunner.sinks.http_batch import HttpBatch, HttpBatchFactory, HttpBatchSettings
from netrunner.sinks.jsonl import Jsonl, JsonlSettings
from netrunner.sinks.lines import LineSettings
from netrunner.sinks.metrics_line import MetricsLine

cloudflare = ProviderFactory(
    name="cloudflare",
    build=CloudflareProvider,
    settings=CloudflareSettings,
    doc="Cloudflare's Workers AI, or an AI Gateway.",
)
cohere = ProviderFactory(
    name="cohere",
    build=CohereProvider,
    settings=CohereSettings,
    doc="Cohere, version 2 of its API.",
)
echo = ProviderFactory(
    name="echo",
    build=EchoProvider,
    settings=EchoSettings,
    doc="Says back what it was told, without a key or a network.",
)
gemini = ProviderFactory(
    name="gemini",
    build=GeminiProvider,
    settings=GeminiSettings,
    doc="Google's Gemini, by its own API.",
)
gigachat = ProviderFactory(
    name="gigachat",
    build=GigaChatProvider,
    settings=GigaChatSettings,
    doc="Sber's GigaChat, version 1 of its API.",
)
anthropic = ProviderFactory(
    name="anthropic",
    build=AnthropicProvider,
    settings=AnthropicSettings,
    doc="Anthropic, or any API that speaks like it.",
)
openai = ProviderFactory(
    name="openai",
    build=OpenAIProvider,
    settings=OpenAISettings,
    doc="OpenAI, or any API that speaks like it.",
)
azure_openai = ProviderFactory(
    name="azure_openai",
    build=AzureOpenAIProvider,
    settings=AzureOpenAISettings,
    doc="OpenAI's models on Azure.",
)
deepseek = ProviderFactory(
    name="deepseek",
    build=DeepSeekProvider,
    settings=DeepSeekSettings,
    doc="DeepSeek.",
)
github = ProviderFactory(
    name="github",
    build=GitHubProvider,
    settings=GitHubSettings,
    doc="GitHub Models.",
)
groq = ProviderFactory(
    name="groq",
    build=GroqProvider,
    settings=GroqSettings,
    doc="Groq.",
)
huggingface = ProviderFactory(
    name="huggingface",
    build=HuggingFaceProvider,
    settings=HuggingFaceSettings,
    doc="Hugging Face's router.",
)
mistral = ProviderFactory(
    name="mistral",
    build=MistralProvider,
    settings=MistralSettings,
    doc="Mistral AI.",
)
ollama = ProviderFactory(
    name="ollama",
    build=OllamaProvider,
    settings=OllamaSettings,
    doc="An Ollama server, by its own API.",
)
openrouter = ProviderFactory(
    name="openrouter",
    build=OpenRouterProvider,
    settings=OpenRouterSettings,
    doc="OpenRouter.",
)
together = ProviderFactory(
    name="together",
    build=TogetherProvider,
    settings=TogetherSettings,
    doc="Together AI.",
)
no_think = FilterFactory(
    name="no_think",
    build=NoThink,
    settings=NoThinkSettings,
    doc="Asks models that think aloud not to.",
)
strip_json_markdown = FilterFactory(
    name="strip_json_markdown",
    build=StripJsonMarkdown,
    settings=StripJsonMarkdownSettings,
    doc="Takes the fence off answers that are one fenced block of JSON.",
)
strip_thinking = FilterFactory(
    name="strip_thinking",
    build=StripThinking,
    settings=StripThinkingSettings,
    doc="Takes <think> blocks out of answers.",
)
access_line = SinkFactory(
    name="access_line",
    build=AccessLine,
    settings=LineSettings,
    doc="Writes one short line for each request that has ended.",
)
cloudwatch = CloudWatchFactory(
    name="cloudwatch",
    build=CloudWatch,
    settings=CloudWatchSettings,
    doc="Puts records into Amazon CloudWatch Logs.",
)
console = SinkFactory(
    name="console",
    build=Console,
    settings=LineSettings,
    doc="Writes one line a request.",
)
database = SinkFactory(
    name="database",
    build=Database,
    settings=DatabaseSettings,
    doc="Keeps records in the store, where they are found again.",
)
http_batch = HttpBatchFactory(
    name="http_batch",
    build=HttpBatch,
    settings=HttpBatchSettings,
    doc="Posts records to a URL, as batches of JSON.",
)
duplex = SinkFactory(
    name="duplex",
    build=Duplex,
    settings=DuplexSettings,
    doc="Copies requests and responses to a logging server while they flow.",
)
jsonl = SinkFactory(
    name="jsonl",
    build=Jsonl,
    settings=JsonlSettings,
    doc="Appends each record to a file, as a line of JSON.",
)
metrics_line = SinkFactory(
    name="metrics_line",
    build=MetricsLine,
    settings=LineSettings,
    doc="Writes the times of each request as one line.",
)
