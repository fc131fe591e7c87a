"""`/v1/decisions` and `/v1/systemone` on real sockets, in front of models that answer by a rule."""
