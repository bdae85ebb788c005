"""Archives of photos that are too many for one machine, on Ray Data.

`names` lists the photos, `plan` decides what is left to do and keeps it in a file, `run` hands it
to the workers of Ray, `worker` is one of them, `report` writes down what became of each photo.
What travels between machines is names and outcomes, never pixels.
"""
