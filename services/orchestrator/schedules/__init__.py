"""When runs start by themselves: fires of cron lines, what is decided about each, and who carries it out."""
