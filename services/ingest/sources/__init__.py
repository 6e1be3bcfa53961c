"""Where rows come from: each kind of source splits itself into chunks and reads one as texts."""
