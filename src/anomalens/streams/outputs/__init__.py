"""Where what was seen in a stream goes: lines, scores, pictures, a video, a web address, a page."""
