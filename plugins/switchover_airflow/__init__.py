"""Switchover in Airflow: operators, sensor and trigger around the step functions of ``switchover``."""
