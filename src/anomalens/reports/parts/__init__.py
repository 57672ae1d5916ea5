"""What all pages share: the document tree and its two writers, style, colours, overlay, charts, folder."""
