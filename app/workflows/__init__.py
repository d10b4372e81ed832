"""Loads, audits and fills in workflows: graphs with named inputs. Pure, except for reading files."""
