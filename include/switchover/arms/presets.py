"""Shapes that many services answer in, as a plan's ``asking`` would say them: after the vendors' own documents.

``{arm}`` is the arm's name in the plan: where a vendor addresses a store by an id, that id names the arm. A plan may
change every key. Adding a shape is one entry here, and a recorded example in ``tests/inner/shapes``.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Preset(NamedTuple):
    """A known shape: what it is called by people, and the ``asking`` that it stands for."""

    title: str
    asking: dict[str, Any]


OURS = "ours"
_SEARCH_HIT = {"id": "_id", "doc": "not_null(_source.doc, _id)", "text": "_source.text", "score": "_score"}
_SEARCH_ANSWER = {"hits": "hits.hits", "hit": _SEARCH_HIT}

PRESETS: dict[str, Preset] = {
    OURS: Preset(
        "Switchover's own",
        {
            "request": {"path": "/ask", "body": {"question": "{question}", "seed": "{seed}", "k": "{k}"}},
            "answer": {
                "hits": "hits",
                "hit": {
                    **{"id": "snippet_id", "doc": "doc", "text": "text", "score": "score", "start": "start"},
                    **{"end": "end", "section": "section_id", "url": "source_url", "index_hash": "index_hash"},
                },
                **{"text": "answer", "cited": "cited", "arm": "arm", "index_hash": "index_hash"},
                **{"stages_ms": "stages_ms", "tool_calls": "tool_calls", "cache": "cache"},
            },
            "report": {
                **{"path": "/version", "arm": "arm", "pins": "pins", "encoder": "encoder", "secrets": "secrets"},
                **{"count": "count", "cache_namespace": "cache.namespace"},
            },
        },
    ),
    "openai_responses": Preset(
        "OpenAI Responses API with file search; the arm is a vector store's id",
        {
            "request": {
                "path": "/v1/responses",
                "body": {
                    "input": "{question}",
                    "tools": [{"type": "file_search", "vector_store_ids": ["{arm}"], "max_num_results": "{k}"}],
                    "tool_choice": {"type": "file_search"},
                    "include": ["file_search_call.results"],
                },
            },
            "answer": {
                "hits": "output[?type=='file_search_call'].results[]",
                "hit": {"doc": "file_id", "text": "text", "score": "score", "section": "file_id", "url": "filename"},
                "text": "output[?type=='message'].content[] | [?type=='output_text'].text | [0]",
                "cited": "output[?type=='message'].content[].annotations[] | [?type=='file_citation'].file_id | [0]",
                "tool_calls": "output[?type=='file_search_call'].{tool: type, arguments: queries}",
            },
        },
    ),
    "bedrock_retrieve": Preset(
        "Amazon Bedrock Knowledge Bases, Retrieve; the arm is a knowledge base's id",
        {
            "request": {
                "path": "/knowledgebases/{arm}/retrieve",
                "body": {
                    "retrievalQuery": {"text": "{question}"},
                    "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": "{k}"}},
                },
            },
            "answer": {
                "hits": "retrievalResults",
                "hit": {
                    "id": 'metadata."x-amz-bedrock-kb-chunk-id"',
                    "doc": 'not_null(location.s3Location.uri, metadata."x-amz-bedrock-kb-source-uri")',
                    **{"text": "content.text", "score": "score", "url": "location.s3Location.uri"},
                },
            },
        },
    ),
    "bedrock_retrieve_and_generate": Preset(
        "Amazon Bedrock Knowledge Bases, RetrieveAndGenerate; the arm is a knowledge base's id",
        {
            "request": {
                "path": "/retrieveAndGenerate",
                "body": {
                    "input": {"text": "{question}"},
                    "retrieveAndGenerateConfiguration": {
                        "type": "KNOWLEDGE_BASE",
                        "knowledgeBaseConfiguration": {
                            "knowledgeBaseId": "{arm}",
                            "retrievalConfiguration": {"vectorSearchConfiguration": {"numberOfResults": "{k}"}},
                        },
                    },
                },
            },
            "answer": {
                "hits": "citations[].retrievedReferences[]",
                "hit": {
                    "id": 'metadata."x-amz-bedrock-kb-chunk-id"',
                    "doc": 'not_null(location.s3Location.uri, metadata."x-amz-bedrock-kb-source-uri")',
                    **{"text": "content.text", "url": "location.s3Location.uri"},
                },
                "text": "output.text",
                "cited": "citations[].retrievedReferences[].location.s3Location.uri | [0]",
            },
        },
    ),
    "llamaindex": Preset(
        "LlamaIndex: a query engine's Response as JSON, with its source nodes",
        {
            "request": {"path": "/query", "body": {"query": "{question}", "similarity_top_k": "{k}"}},
            "answer": {
                "hits": "source_nodes",
                "hit": {
                    "id": "not_null(node.id_, node.node_id)",
                    "doc": 'not_null(node.relationships."1".node_id, node.ref_doc_id, node.metadata.file_name)',
                    **{"text": "node.text", "score": "score", "start": "node.start_char_idx"},
                    **{"end": "node.end_char_idx", "url": "node.metadata.file_path"},
                },
                "text": "response",
            },
        },
    ),
    "langchain": Preset(
        "LangChain: a retrieval chain behind /invoke, with its documents under `context`",
        {
            "request": {
                "path": "/invoke",
                "body": {"input": {"input": "{question}"}, "config": {"configurable": {"k": "{k}"}}},
            },
            "answer": {
                "root": "output",
                "hits": "context",
                "hit": {
                    **{"id": "id", "doc": "metadata.source", "text": "page_content"},
                    **{"start": "metadata.start_index", "url": "metadata.source"},
                },
                "text": "answer",
            },
        },
    ),
    "haystack": Preset(
        "Haystack: a pipeline behind Hayhooks that ends in an AnswerBuilder",
        {
            "request": {"path": "/{arm}/run", "body": {"query": "{question}", "top_k": "{k}"}},
            "answer": {
                "root": "not_null(result, @).answer_builder.answers[0]",
                "hits": "documents",
                "hit": {
                    "id": "id",
                    "doc": "not_null(meta.file_path, meta.source_id)",
                    **{"text": "content", "score": "score", "start": "meta.split_idx_start", "url": "meta.url"},
                },
                "text": "data",
            },
        },
    ),
    "azure_on_your_data": Preset(
        "Azure OpenAI on your data; the arm is the name of a search index",
        {
            "request": {
                "path": "/openai/deployments/chat/chat/completions",
                "query": {"api-version": "2024-10-21"},
                "body": {
                    "messages": [{"role": "user", "content": "{question}"}],
                    "seed": "{seed}",
                    "data_sources": [
                        {
                            "type": "azure_search",
                            "parameters": {
                                "index_name": "{arm}",
                                "top_n_documents": "{k}",
                                "authentication": {"type": "system_assigned_managed_identity"},
                            },
                        }
                    ],
                },
            },
            "answer": {
                "root": "choices[0].message",
                "hits": "context.citations",
                "hit": {"doc": "not_null(filepath, url, title)", "text": "content", "url": "url"},
                "text": "content",
            },
        },
    ),
    "elasticsearch": Preset(
        "Elasticsearch `_search` with a match query; the arm is an index's name",
        {
            "request": {
                "path": "/{arm}/_search",
                "body": {"size": "{k}", "query": {"match": {"text": "{question}"}}},
            },
            "answer": _SEARCH_ANSWER,
        },
    ),
    "opensearch": Preset(
        "OpenSearch `_search` with a neural query; the arm is an index's name",
        {
            "request": {
                "path": "/{arm}/_search",
                "body": {
                    "size": "{k}",
                    "query": {"neural": {"embedding": {"query_text": "{question}", "k": "{k}"}}},
                },
            },
            "answer": _SEARCH_ANSWER,
        },
    ),
    "ragas": Preset(
        "An answer with the fields of a ragas sample",
        {
            "request": {"path": "/answer", "body": {"user_input": "{question}", "k": "{k}"}},
            "answer": {"hits": "retrieved_contexts", "hit": {"text": "@"}, "text": "response"},
        },
    ),
}
