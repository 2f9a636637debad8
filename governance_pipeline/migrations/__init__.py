"""How the escalations' store gets from one shape to the next; Alembic runs it on opening."""
