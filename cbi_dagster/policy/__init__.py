"""Policy: from posts to events with scores, and what the days before a decision time say."""
