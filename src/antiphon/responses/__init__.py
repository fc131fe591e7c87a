"""The making of one response: Intake, Run, what it stores, background runs."""
