"""What a Discord request asks for, and what the bot does about it."""
