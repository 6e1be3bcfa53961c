"""FOCUS, the open format of cost and usage: its columns as data, and its versions as views."""
