"""What to look at first when a rule has fired. One source: the pages in docs/rules/ and every report show this."""

from __future__ import annotations

PLAYBOOK: dict[str, tuple[str, ...]] = {
    "ds_question": (
        "Which set is worst? If one alone, its wording changed.",
        "The questions with the largest ΔS in the report: are the right documents in Green at all (`coverage`)?",
        "Query encoder and index from one manifest? verify's encoder check says.",
    ),
    "ds_p95_drift": (
        "The worst questions of the report, both arms side by side.",
        "Do they share a tag (language, tenant, topic)? Then one part of the corpus is affected.",
        "Chunking: long chunks dilute the context vector.",
    ),
    "coverage": (
        "Did the build index everything? Compare the counts of both manifests.",
        "The questions at 0: is their document in Green?",
        "If documents are there, look at the reranker and at `k`.",
    ),
    "coverage_vs_blue": (
        "The losses in the verdict's line, then both arms' hits for them in the report.",
        "All of one topic? A part of the corpus is missing.",
        "Spread evenly? Chunking or encoder.",
    ),
    "flip_rate": (
        "The × questions first.",
        "Do the paraphrases retrieve the same chunks and the reranker differs, or not even that?",
        "A flip rate near 0.8 with coverage gone: the reranker is broken.",
    ),
    "flips_vs_blue": (
        "The questions named in the line.",
        "If the count is even with Blue's plus one, more questions or a margin decide it.",
        "If many: see `flip_rate`.",
    ),
    "latency_p95": (
        "Which stage? The line names the others.",
        "Is Green warm: caches, connection pools, index in memory?",
        "Does the machine do something else (Blue slower than yesterday too)?",
    ),
    "error_rate": (
        "Status and error of the failed probes in the evidence rows.",
        "One question only? Its input breaks the service.",
        "Status 0: the arm does not answer; look at its own log.",
    ),
    "http_5xx": (
        "The pointer is back on Blue: check that its 5xx are gone; if not, it was not Green.",
        "Green's log at the time of `first_bad_at`.",
        "Capacity: warm traffic is less than live traffic.",
    ),
    "live_traffic": (
        "Do users reach the service at all? Look at the gateway and at the service's own log for the last minutes.",
        "Do rows still come in for another arm? Then a part of the readers did not follow the pointer.",
        "Traffic that fails before it is logged: is there a row for each request, also for those without an arm?",
    ),
    "tool_loops": (
        "The question and the calls in the evidence row.",
        "Did the prompt or the tool's answer change (PROMPT_VER)?",
        "Is the loop on Blue too? Then it is older than Green.",
    ),
    "rollback_path": (
        "Rights: may the connection create and remove the shadow?",
        "Is the store slow now (locks, failover)?",
        "Do not flip until it is quick: the way back is what makes the way forward safe.",
    ),
}
