"""`/v1/batches`: requests of a file as handlers of their routes answer them."""
