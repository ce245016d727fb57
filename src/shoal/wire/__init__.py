"""What travels between client, server and agents: ids, specs, views, events, the API as a table.

Values only: frozen structs and their schema. Knows nothing of HTTP libraries, databases or clouds.
"""
