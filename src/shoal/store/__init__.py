"""The record: tables, migrations, and one typed function for each question that is asked of them.

SQLAlchemy Core for SQLite and PostgreSQL, one set of statements for both. Functions take a
Connection and are called through Database.run, one transaction each. A change of state is
compare-and-set, says whether it happened, and writes its Event in the same transaction.
"""
