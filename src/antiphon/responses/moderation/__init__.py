"""Moderation: texts and pictures are judged by a moderation route, a classifier, or a chat model by a rubric."""
