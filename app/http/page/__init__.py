"""The web page: who may see what is decided in `app.service`, what people read is in `app.texts.page`."""
