"""Processes of the local stack: who owns them, their ports, PostgreSQL, Airflow, and their end."""
