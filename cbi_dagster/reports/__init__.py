"""What the platform knows about itself: questions to a warehouse, answered as dataclasses and frames.

Nothing is printed here: `cbi` renders the answers, and so may any other front.
"""
