// The interface's page: Swagger UI over openapi.json, with the key that the page at / was given.

import { key } from "./server.js";

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#interface",
  deepLinking: true,
  validatorUrl: null, // it would tell another host of this one
  requestInterceptor: (request) => {
    if (key()) request.headers.Authorization = `Bearer ${key()}`;
    return request;
  },
});
