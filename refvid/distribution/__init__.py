"""Tasks on several processes and machines, whatever the tasks are."""
