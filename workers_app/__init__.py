"""Who can work, are they alive, how well do they do: the workers' rows and the model catalogue."""
