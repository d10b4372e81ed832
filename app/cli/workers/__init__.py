"""The commands `workers`: who works for the bot, and the logins that let them."""
