"""The files of the page at / and of the interface's page at /docs: HTML, CSS and ES modules.

They are served as they are, by the tables in `service.routes.page` and `service.routes.docs`.
"""
