"""Blue-green switchovers for retrieval and RAG stacks: the product, in plain Python.

Nothing in this package imports Airflow, so that the watchdog and the command line can act when
Airflow cannot.
"""

__version__ = "0.1.0"
