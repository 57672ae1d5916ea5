"""Pictures that come one after the other: video, cameras, folders that fill; and events in them."""
