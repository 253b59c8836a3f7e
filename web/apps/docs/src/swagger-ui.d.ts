/** The part of Swagger UI that is used here; the package brings no types. */
declare module "swagger-ui-dist/swagger-ui-bundle.js" {
  interface SwaggerOptions {
    readonly dom_id: string;
    readonly url: string;
    readonly validatorUrl: null;
    readonly deepLinking: boolean;
    readonly defaultModelsExpandDepth: number;
  }
  // biome-ignore lint/style/noDefaultExport: it is CommonJS, whose exports are the default
  export default function SwaggerUIBundle(options: SwaggerOptions): void;
}
