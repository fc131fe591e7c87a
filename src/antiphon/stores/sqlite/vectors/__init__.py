"""The parts of SQLiteVectorStores: functions that run inside a transaction of their caller."""
