"""The review page in a real browser, inside a running Airflow."""
