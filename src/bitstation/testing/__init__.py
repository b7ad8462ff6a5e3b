"""Samples, simulators and fault injectors, public so that others can test their own rooms."""
