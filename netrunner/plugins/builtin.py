"""The plugins that come with netrunner: what each is, and the module whose ``plugin`` offers it.

None of them is imported before somebody asks for it. This module must not import any.
"""

from typing import NamedTuple


class BuiltIn(NamedTuple):
    """One plugin."""

    kind: str
    name: str
    doc: str
    """What its factory says of itself."""
    module: str


BUILT_IN = (
    BuiltIn("provider", "airforce", "Api.Airforce.", "netrunner.providers.airforce"),
    BuiltIn("provider", "anthropic", "Anthropic, or any API that speaks like it.", "netrunner.providers.anthropic"),
    BuiltIn("provider", "azure_openai", "OpenAI's models on Azure.", "netrunner.providers.azure_openai"),
    BuiltIn("provider", "cloudflare", "Cloudflare's Workers AI, or an AI Gateway.", "netrunner.providers.cloudflare"),
    BuiltIn("provider", "cohere", "Cohere, version 2 of its API.", "netrunner.providers.cohere"),
    BuiltIn("provider", "deepseek", "DeepSeek.", "netrunner.providers.deepseek"),
    BuiltIn("provider", "echo", "Says back what it was told, without a key or a network.", "netrunner.providers.echo"),
    BuiltIn("provider", "gemini", "Google's Gemini, by its own API.", "netrunner.providers.gemini"),
    BuiltIn("provider", "gigachat", "Sber's GigaChat, version 1 of its API.", "netrunner.providers.gigachat"),
    BuiltIn("provider", "github", "GitHub Models.", "netrunner.providers.github"),
    BuiltIn("provider", "groq", "Groq.", "netrunner.providers.groq"),
    BuiltIn("provider", "huggingface", "Hugging Face's router.", "netrunner.providers.huggingface"),
    BuiltIn("provider", "mistral", "Mistral AI.", "netrunner.providers.mistral"),
    BuiltIn("provider", "ollama", "An Ollama server, by its own API.", "netrunner.providers.ollama"),
    BuiltIn("provider", "openai", "OpenAI, or any API that speaks like it.", "netrunner.providers.openai"),
    BuiltIn("provider", "openrouter", "OpenRouter.", "netrunner.providers.openrouter"),
    BuiltIn("provider", "together", "Together AI.", "netrunner.providers.together"),
    BuiltIn(
        "filter",
        "cache",
        "Answers a question that was asked before with the answer it got then.",
        "netrunner.filters.cache",
    ),
    BuiltIn(
        "filter",
        "firewall",
        "Has what is asked looked at by classifiers, and refuses it.",
        "netrunner.filters.firewall",
    ),
    BuiltIn("filter", "no_think", "Asks models that think aloud not to.", "netrunner.filters.no_think"),
    BuiltIn("filter", "retry", "Tries again what has failed.", "netrunner.filters.retry"),
    BuiltIn(
        "filter",
        "rate_limit",
        "Admits so many requests and tokens, of each caller or in all.",
        "netrunner.filters.rate_limit",
    ),
    BuiltIn(
        "filter",
        "strip_json_markdown",
        "Takes the fence off answers that are one fenced block of JSON.",
        "netrunner.filters.strip_json_markdown",
    ),
    BuiltIn("filter", "strip_thinking", "Takes <think> blocks out of answers.", "netrunner.filters.strip_thinking"),
    BuiltIn("filter", "validate", "Refuses what no provider should be asked.", "netrunner.filters.validate"),
    BuiltIn(
        "sink", "access_line", "Writes one short line for each request that has ended.", "netrunner.sinks.access_line"
    ),
    BuiltIn("sink", "cloudwatch", "Puts records into Amazon CloudWatch Logs.", "netrunner.sinks.cloudwatch"),
    BuiltIn("sink", "console", "Writes one line a request.", "netrunner.sinks.console"),
    BuiltIn("sink", "database", "Keeps records in the store, where they are found again.", "netrunner.sinks.database"),
    BuiltIn(
        "sink", "duplex", "Copies requests and responses to a logging server while they flow.", "netrunner.sinks.duplex"
    ),
    BuiltIn("sink", "helicone", "Sends each request to Helicone.", "netrunner.sinks.helicone"),
    BuiltIn("sink", "http_batch", "Posts records to a URL, as batches of JSON.", "netrunner.sinks.http_batch"),
    BuiltIn("sink", "jsonl", "Appends each record to a file, as a line of JSON.", "netrunner.sinks.jsonl"),
    BuiltIn("sink", "lunary", "Sends each request to Lunary, as a run.", "netrunner.sinks.lunary"),
    BuiltIn("sink", "metrics_line", "Writes the times of each request as one line.", "netrunner.sinks.metrics_line"),
    BuiltIn("sink", "otlp", "Exports a trace of each request to an OpenTelemetry collector.", "netrunner.sinks.otlp"),
)
