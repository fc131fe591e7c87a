"""Intake: a request → a Plan. Invalid requests are refused here."""
