"""Delivering alerts."""
