"""What a run is: its states, the records of its history, and the fold from one to the other."""
