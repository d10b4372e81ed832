"""The statements of the tables that have rules of their own. The store owns the connection and its transactions."""
