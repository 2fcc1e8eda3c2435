"""The process outside Airflow that brings Blue back when nobody holds a run any more."""
