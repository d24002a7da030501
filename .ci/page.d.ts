// What a page has besides the browser's own.
interface Window {
  Plotly: any;
}
